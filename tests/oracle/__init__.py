"""The drift judge's oracle: what Argo CD's and Flux's own engines say of a pair of objects.

A Go program that imports their modules, built once and kept with the other real parts. It needs Go and, the first
time, the network; nothing of it is part of Abdrift.
"""
