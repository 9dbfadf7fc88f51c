FROM --platform=linux/* scratch
