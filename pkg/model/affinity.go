// SPDX-License-Identifier: Apache-2.0

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

// Remembered is how long OVN must remember the backend of a client, in seconds since the client's last connection; 0
// for no limit. The API server defaults the timeout to three hours, so that value is not taken as a choice of the user;
// and OVN supports at most 65535 s (idle_timeout of its flows has 16 bits). In both cases a client keeps its backend
// indefinitely, which satisfies the timeout and costs it no packet.
func (s *Service) Remembered() uint16 {
	seconds := s.AffinityTimeout / time.Second
	if !s.Affinity || s.AffinityTimeout == defaultAffinityTimeout || seconds < 1 || seconds > math.MaxUint16 {
		return 0
	}
	return uint16(seconds) // #nosec G115 -- bounded above
}
