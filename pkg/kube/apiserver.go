package kube

import (
	"net/netip"
	"net/url"
	"slices"

	"k8s.io/client-go/rest"
)

// APIServerAddresses are the addresses by which this process reaches the API
// server: that of its configuration and, in a pod, serviceHost (the environment
// variable KUBERNETES_SERVICE_HOST). Names are left out: they are resolved anew
// with each connection.
func APIServerAddresses(cfg *rest.Config, serviceHost string) []netip.Addr {
	host := cfg.Host
	if u, err := url.Parse(cfg.Host); err == nil && u.Host != "" {
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
