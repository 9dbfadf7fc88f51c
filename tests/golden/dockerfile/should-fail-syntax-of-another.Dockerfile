# syntax=example/frontend:1
FROM a
