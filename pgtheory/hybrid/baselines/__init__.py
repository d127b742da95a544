"""What the hybrid method is compared with on the continuous lock: RLPD, and behaviour cloning.

TRPO is ``train`` without data; an offline-only critic is ``online_weight=0``; temporal differences on both data sets
are ``bootstrap_online=True``.
"""
