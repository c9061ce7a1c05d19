package model

import (
	"math"

	corev1 "k8s.io/api/core/v1"
)

// affinityTimeout is how long OVN is to remember which backend a client had, in
// seconds since the client's last connection; 0 if it need not. Whoever says
// nothing gets three hours from the API server, so those mean nothing in
// particular; and OVN counts up to 65535 s only (its flows' idle_timeout has 16
// bits). In both cases a client keeps its backend for good, which is no less than
// it was promised, and costs it no packet.
func affinityTimeout(spec *corev1.ServiceSpec) uint16 {
	config := spec.SessionAffinityConfig
	if spec.SessionAffinity != corev1.ServiceAffinityClientIP || config == nil || config.ClientIP == nil || config.ClientIP.TimeoutSeconds == nil {
		return 0
	}
	seconds := *config.ClientIP.TimeoutSeconds
	if seconds == corev1.DefaultClientIPServiceAffinitySeconds || seconds < 1 || seconds > math.MaxUint16 {
		return 0
	}
	return uint16(seconds) // #nosec G115 -- bounded above
}
