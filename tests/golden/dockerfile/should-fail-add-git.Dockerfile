FROM a
ADD git@example.com:x/y.git /
