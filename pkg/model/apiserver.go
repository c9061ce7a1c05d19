package model

import (
	"net/netip"
	"net/url"
	"slices"
)

// APIServerAddresses are the addresses by which a process reaches the API server:
// that of its configuration, a URL or a host, and in a pod serviceHost (the
// environment variable KUBERNETES_SERVICE_HOST). Names are left out: they are
// resolved anew with each connection.
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
