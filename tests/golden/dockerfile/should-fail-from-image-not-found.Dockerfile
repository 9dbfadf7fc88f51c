FROM alpine AS builder
FROM missing
