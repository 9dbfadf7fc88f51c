FROM a
copyy a b
