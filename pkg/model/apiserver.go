// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"net/url"
	"slices"
)

// APIServerAddresses returns the addresses at which a process reaches the API server: that of its configuration, a URL
// or a host, and in a pod serviceHost (the environment variable KUBERNETES_SERVICE_HOST). Names are skipped: each
// connection resolves them again.
func APIServerAddresses(configured, serviceHost string) []netip.Addr {
	host := configured
	if u, err := url.Parse(configured); err == nil && u.Host != "" {
		host = u.Hostname()
	}
	var out []netip.Addr
	for _, text := range []string{host, serviceHost} {
		if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(out, a.Unmap()) {
			out = append(out, a.Unmap())
		}
	}
	return out
}
