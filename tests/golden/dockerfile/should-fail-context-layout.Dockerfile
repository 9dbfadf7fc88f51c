# test: context=a=oci-layout://store:tag
FROM a
