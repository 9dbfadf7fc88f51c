FROM a
RUN --device=vendor.com/gpu=all,required x
