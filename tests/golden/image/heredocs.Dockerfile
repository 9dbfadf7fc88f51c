FROM scratch
ARG WHO=world
COPY <<one <<"two" /d/
hello $WHO
one
hello $WHO
two
COPY --chmod=755 --chown=1:1 <<-EOT /bin/run
	#!/bin/sh
	echo $WHO
EOT
ADD <<a.tar /x/
no archive
a.tar
