"""Benchmarks: tables and surrogates that answer for an architecture without training it.

`base` is what all tables share, `files` knows which files there are and where, `download`
fetches them, `cache` keeps converted tables, and `loaders` read the formats. One module per
family registers under the entry points ``nas_plugins.benchmarks``; open one with
``nas_plugins.benchmark("nasbench201/cifar10")``.
"""
