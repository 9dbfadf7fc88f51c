FROM a
RUN --netwrk=host x
