FROM scratch
EXPOSE localhost:80:80
