// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func parseCertificate(t *testing.T, raw []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(raw)
	if block == nil {
		t.Fatalf("no PEM block in %q", raw)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestPKI(t *testing.T) {
	files, err := newPKI(testPlan(2), testTime)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file, ca, name, group, server string
		usage                         x509.ExtKeyUsage
	}{
		{"apiserver", "ca", "kube-apiserver", "", "192.168.77.1", x509.ExtKeyUsageServerAuth},
		{"apiserver", "ca", "kube-apiserver", "", "10.96.0.1", x509.ExtKeyUsageServerAuth},
		{"apiserver", "ca", "kube-apiserver", "", "fd00:10:96::1", x509.ExtKeyUsageServerAuth},
		{"admin", "ca", "admin", "system:masters", "", x509.ExtKeyUsageClientAuth},
		{"n2", "ca", "system:node:n2", "system:nodes", "", x509.ExtKeyUsageClientAuth},
		{"n2-serving", "ca", "system:node:n2", "system:nodes", "192.168.77.12", x509.ExtKeyUsageServerAuth},
		{"ovn-nb", "ovn-nb-ca", "ovn-nb", "", "192.168.77.1", x509.ExtKeyUsageServerAuth},
		{"ovn-sb", "ovn-sb-ca", "ovn-sb", "", "192.168.77.1", x509.ExtKeyUsageServerAuth},
		{"ovn-nb-client", "ovn-nb-ca", "woven-controller", "", "", x509.ExtKeyUsageClientAuth},
		{"n1-ovn", "ovn-sb-ca", "n1", "", "", x509.ExtKeyUsageClientAuth},
		{"woven-cniserver-n1", "ca", "woven:cniserver:n1", "woven:cniservers", "", x509.ExtKeyUsageClientAuth},
	}
	for _, test := range tests {
		t.Run(test.file+" "+test.server, func(t *testing.T) {
			cert := parseCertificate(t, files[test.file+".crt"])
			pool := x509.NewCertPool()
			pool.AddCert(parseCertificate(t, files[test.ca+".crt"]))
			_, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: test.server, CurrentTime: testTime, KeyUsages: []x509.ExtKeyUsage{test.usage}})
			if err != nil {
				t.Error(err)
			}
			if cert.Subject.CommonName != test.name {
				t.Errorf("common name %q, want %q", cert.Subject.CommonName, test.name)
			}
			if test.group != "" && (len(cert.Subject.Organization) != 1 || cert.Subject.Organization[0] != test.group) {
				t.Errorf("groups %q, want %q", cert.Subject.Organization, test.group)
			}
			if _, err := tls.X509KeyPair(files[test.file+".crt"], files[test.file+".key"]); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAuthoritiesAreSeparate(t *testing.T) {
	files, err := newPKI(testPlan(1), testTime)
	if err != nil {
		t.Fatal(err)
	}
	for ca, others := range map[string][]string{"ovn-nb-ca": {"admin", "n1-ovn", "ovn-sb"}, "ovn-sb-ca": {"admin", "ovn-nb-client"}, "ca": {"n1-ovn"}} {
		pool := x509.NewCertPool()
		pool.AddCert(parseCertificate(t, files[ca+".crt"]))
		for _, other := range others {
			cert := parseCertificate(t, files[other+".crt"])
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: testTime, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
				t.Errorf("the servers of %s accept the certificate %s", ca, other)
			}
		}
	}
}

func TestKubeconfig(t *testing.T) {
	files, err := newPKI(testPlan(1), testTime)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(files["admin.conf"])
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://192.168.77.1:6443" {
		t.Errorf("server %q", config.Host)
	}
	if string(config.CertData) != string(files["admin.crt"]) || string(config.CAData) != string(files["ca.crt"]) {
		t.Error("the kubeconfig lacks the user's or the CA's certificate")
	}
}
