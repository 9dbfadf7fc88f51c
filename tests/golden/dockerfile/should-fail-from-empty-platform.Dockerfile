FROM --platform=$P a
