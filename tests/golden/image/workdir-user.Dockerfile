FROM scratch
COPY passwd group /etc/
USER app:web
WORKDIR /home/app
USER 99
WORKDIR /new
WORKDIR /home
USER root
WORKDIR /last
