FROM a
ADD --unpack=maybe x y
