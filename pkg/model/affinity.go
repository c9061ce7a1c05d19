package model

import (
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// defaultAffinityTimeout is that of the API (DefaultClientIPServiceAffinitySeconds).
const defaultAffinityTimeout = time.Duration(corev1.DefaultClientIPServiceAffinitySeconds) * time.Second

func affinityTimeout(c *corev1.SessionAffinityConfig) time.Duration {
	if c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil || *c.ClientIP.TimeoutSeconds <= 0 {
		return defaultAffinityTimeout
	}
	return time.Duration(*c.ClientIP.TimeoutSeconds) * time.Second
}

// Remembered is how long OVN is to remember which backend a client had, in
// seconds since the client's last connection; 0 if it need not. Whoever says
// nothing gets three hours from the API server, so those mean nothing in
// particular; and OVN counts up to 65535 s only (its flows' idle_timeout has 16
// bits). In both cases a client keeps its backend for good, which is no less than
// it was promised, and costs it no packet.
func (s *Service) Remembered() uint16 {
	seconds := s.AffinityTimeout / time.Second
	if !s.Affinity || s.AffinityTimeout == defaultAffinityTimeout || seconds < 1 || seconds > math.MaxUint16 {
		return 0
	}
	return uint16(seconds) // #nosec G115 -- bounded above
}
