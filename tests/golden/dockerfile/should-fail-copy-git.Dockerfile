FROM a
COPY https://example.com/x.git y
