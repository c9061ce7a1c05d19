// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Path is the URL path of the webhook.
const Path = "/validate"

const (
	maxRequest  = 7 << 20 // bytes: two objects of the largest size that the API server accepts, and the rest of the request
	maxRequests = 64      // concurrent requests; with failurePolicy Ignore the API server allows an object without a response
	readTimeout = 5 * time.Second
)

// ServerConfig configures the server of the webhook.
type ServerConfig struct {
	BindAddress string // host:port
	// CertDir contains tls.crt and tls.key, which are read again when they change. Empty: Certificate is used.
	CertDir     string
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Reviewer    *Reviewer
	Clock       clock.PassiveClock
}

// NewServer returns a server that does not listen until it is started. It fails if the configuration is invalid.
func NewServer(c ServerConfig) (webhook.Server, error) {
	host, text, err := net.SplitHostPort(c.BindAddress)
	if err != nil {
		return nil, fmt.Errorf("parse address %q: %w", c.BindAddress, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("parse address %q: %q is not a port from 1 to 65535", c.BindAddress, text)
	}
	if c.CertDir != "" {
		if _, err := tls.LoadX509KeyPair(filepath.Join(c.CertDir, "tls.crt"), filepath.Join(c.CertDir, "tls.key")); err != nil {
			return nil, fmt.Errorf("load certificate: %w", err)
		}
	}
	server := webhook.NewServer(webhook.Options{
		Host: host, Port: int(port), CertDir: c.CertDir,
		TLSOpts: []func(*tls.Config){func(t *tls.Config) {
			t.MinVersion = tls.VersionTLS12
			if c.CertDir == "" {
				t.GetCertificate = c.Certificate
			}
		}},
	})
	server.Register(Path, bounded(&admission.Webhook{Handler: c.Reviewer}, c.Clock))
	return server, nil
}

// bounded limits the size of a request, the time to read it, and the number of concurrent requests.
func bounded(h http.Handler, clk clock.PassiveClock) http.Handler {
	slots := make(chan struct{}, maxRequests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			http.Error(w, "too many concurrent requests", http.StatusServiceUnavailable)
			return
		}
		if err := http.NewResponseController(w).SetReadDeadline(clk.Now().Add(readTimeout)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		h.ServeHTTP(w, r)
	})
}
