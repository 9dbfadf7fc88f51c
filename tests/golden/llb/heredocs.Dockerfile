FROM base:1
RUN <<EOF
set -e
echo $HOME
EOF
RUN <<-"PY"
	#!/usr/bin/env python3
	print("x")
	PY
RUN cat <<A >/a && cat <<-B >/b
one
A
	two
	B
