FROM scratch
Runn true
