// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// LoadTLS returns a client configuration from PEM files: the client certificate, its private key, and the CA
// certificates for the server. Files that have changed are loaded again, so renewed certificates are used from the next
// connection on.
//
// As in Open vSwitch, the server's certificate must be signed by the CA, and its host name is not checked: certificates
// of ovs-pki(8) have none.
func LoadTLS(certFile, keyFile, caFile string) (*tls.Config, error) {
	pair := &watched[*tls.Certificate]{paths: []string{certFile, keyFile}, load: func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("load certificate %s and key %s: %w", certFile, keyFile, err)
		}
		return &cert, nil
	}}
	pool := &watched[*x509.CertPool]{paths: []string{caFile}, load: func() (*x509.CertPool, error) {
		return loadPool(caFile)
	}}
	if _, err := pair.get(); err != nil {
		return nil, err
	}
	if _, err := pool.get(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return pair.get()
		},
		// The default verification requires a host name and fixed CAs;
		// VerifyConnection below verifies the chain.
		InsecureSkipVerify: true, //nolint:gosec // see above
		VerifyConnection: func(state tls.ConnectionState) error {
			roots, err := pool.get()
			if err != nil {
				return err
			}
			return verifyChain(state.PeerCertificates, roots)
		},
	}, nil
}

func loadPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("load CA certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("load CA certificates: %s has no PEM certificate", path)
	}
	return pool, nil
}

func verifyChain(chain []*x509.Certificate, roots *x509.CertPool) error {
	if len(chain) == 0 {
		return errors.New("verify server: no certificate")
	}
	opts := x509.VerifyOptions{
		Roots:         roots,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return fmt.Errorf("verify server: %w", err)
	}
	return nil
}

// watched is a value loaded from files. It is loaded again when their size or modification time changes.
type watched[T any] struct {
	paths []string
	load  func() (T, error)

	mu    sync.Mutex
	stamp string
	value T
}

func (w *watched[T]) get() (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var stamp string
	for _, path := range w.paths {
		info, err := os.Stat(path)
		if err != nil {
			var zero T
			return zero, fmt.Errorf("load TLS file: %w", err)
		}
		stamp += fmt.Sprintf("%s %d;", info.ModTime().Format(time.RFC3339Nano), info.Size())
	}
	if stamp == w.stamp {
		return w.value, nil
	}
	value, err := w.load()
	if err != nil {
		var zero T
		return zero, err
	}
	w.stamp, w.value = stamp, value
	return value, nil
}
