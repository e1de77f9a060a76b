require anomalyd.inc
