FROM debain
