FROM scratch
ENV B=2 A=1
ENV OLD form of it
ENV C="$A and ${B:-none}" A='$B'
ENV B=again
LABEL z=1 a="two words" "with space"=x
LABEL a=$A
LABEL m="multi\
line"
