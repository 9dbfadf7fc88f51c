module example.org/static

go 1.19
