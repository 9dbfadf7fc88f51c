FROM --platform=li.nux/amd64 scratch
