// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	// lifetime of a certificate; it is replaced when less than a third is left.
	lifetime = 365 * 24 * time.Hour
	// skew is how far the API server's clock may be behind this host's.
	skew = time.Hour
)

// Keys of the Secret, the same as cert-manager's.
const (
	keyCert = "tls.crt"
	keyKey  = "tls.key"
	keyCA   = "ca.crt"
)

// issue creates a certificate for names (DNS names and addresses), and a CA for it, whose key is discarded. The valid
// certificates of oldCAs (PEM) are kept, since another controller may still serve a certificate that they have signed.
func issue(names []string, oldCAs []byte, now time.Time) (map[string][]byte, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "woven-webhook-ca"},
		NotBefore: now.Add(-skew), NotAfter: now.Add(lifetime), KeyUsage: x509.KeyUsageCertSign,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, fmt.Errorf("create CA certificate: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "woven-webhook"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, fmt.Errorf("create certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return map[string][]byte{
		keyCert: encode("CERTIFICATE", der),
		keyKey:  encode("PRIVATE KEY", keyDER),
		keyCA:   append(encode("CERTIFICATE", caDER), valid(oldCAs, now)...),
	}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// valid removes expired certificates, and everything that is no certificate, from a PEM bundle.
func valid(bundle []byte, now time.Time) []byte {
	var out bytes.Buffer
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && now.Before(c.NotAfter) {
			out.Write(encode(block.Type, block.Bytes))
		}
	}
	return out.Bytes()
}

// parse reads a Secret. The error is the reason for a new certificate.
func parse(data map[string][]byte, names []string, now time.Time) (*tls.Certificate, error) {
	if len(data[keyCert]) == 0 {
		return nil, errors.New("there is no certificate yet")
	}
	pair, err := tls.X509KeyPair(data[keyCert], data[keyKey])
	if err != nil {
		return nil, fmt.Errorf("the certificate cannot be read: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data[keyCA])
	for _, name := range names {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			return nil, fmt.Errorf("the certificate is not valid for %s: %w", name, err)
		}
	}
	if left := pair.Leaf.NotAfter.Sub(now); left < lifetime/3 {
		return nil, fmt.Errorf("the certificate expires in %s", left.Round(time.Hour))
	}
	return &pair, nil
}
