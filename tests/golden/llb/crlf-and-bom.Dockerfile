# escape=`
FROM base:1
# a comment
RUN <<EOF
line one
line two
EOF
ENV a=b `
    c=d
RUN x `
  # inside

  y
LABEL x="a b"
