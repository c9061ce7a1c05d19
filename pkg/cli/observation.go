// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// Observation configures what a program serves to those who observe it. The metrics' server has /metrics, health checks
// and, if enabled, profiles. The server of health checks has only those, so that it may be open to the kubelet.
type Observation struct {
	// HealthAddress is host:port or :port; "0" for no server.
	HealthAddress string
	// Insecure serves metrics without TLS and authentication on every address.
	Insecure bool
	// CertDir has tls.crt and tls.key of the metrics' server; empty for a certificate that signs itself.
	CertDir string
}

// Flags adds the flags.
func (o *Observation) Flags(f *pflag.FlagSet) {
	f.StringVar(&o.HealthAddress, "health-probe-bind-address", o.HealthAddress, "Address (HOST:PORT, or :PORT for all addresses) on which only /healthz and /readyz are served, without authentication, for the kubelet; 0: not served.")
	f.BoolVar(&o.Insecure, "insecure-metrics", o.Insecure, "Serve metrics and profiles to everybody without TLS and authentication, even on an address that others reach.")
	f.StringVar(&o.CertDir, "metrics-cert-dir", o.CertDir, "Directory with tls.crt and tls.key for metrics on an address that others reach; empty: a certificate that signs itself.")
}

// Validate checks the address of health checks.
func (o *Observation) Validate() error {
	if o.HealthAddress == "0" {
		return nil
	}
	if _, _, err := net.SplitHostPort(o.HealthAddress); err != nil {
		return fmt.Errorf("flag --health-probe-bind-address: %w", err)
	}
	return nil
}

// Server returns the options of the metrics' server. On an address that others reach it needs TLS, a bearer token that
// the API server knows (TokenReview), and the right to read the path (SubjectAccessReview).
func (o *Observation) Server(address string, handlers map[string]http.Handler) server.Options {
	options := server.Options{BindAddress: address, ExtraHandlers: handlers}
	if !o.Insecure && !loopback(address) {
		options.SecureServing, options.CertDir = true, o.CertDir
		options.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return options
}

// loopback reports whether only processes of this host reach an address (host:port).
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
