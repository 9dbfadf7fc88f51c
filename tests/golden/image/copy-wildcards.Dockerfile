FROM scratch
COPY *.txt /all/
COPY o?e.txt [t]wo.txt /some/
COPY src/* /below/
COPY */*.c /sources/
COPY one.txt nothing-like* /none/
