ARG A
FROM ${A:?set-A-to-an-image}
