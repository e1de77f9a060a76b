# Only in the appliance's own distribution: other users of the layer keep their kernel.
FILESEXTRAPATHS:prepend:anomalyd-os := "${THISDIR}/files:"

SRC_URI:append:anomalyd-os = " file://anomalyd-appliance.cfg"
