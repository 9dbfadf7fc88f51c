# test: context=a=input:x
FROM a
