FROM a
ENV V=
ENV a=${V:?}
