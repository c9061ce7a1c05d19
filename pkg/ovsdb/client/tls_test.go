// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/test/nbtest"
)

// authority signs certificates without host names, as ovs-pki does.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
	next int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), name+".pem"), next: 1}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	// A rename replaces the file atomically, as certificate managers do.
	if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// issue writes a new certificate and key to the two files.
func (a *authority) issue(certFile, keyFile string) {
	a.t.Helper()
	a.next++
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, certFile, "CERTIFICATE", der)
	writePEM(a.t, keyFile, "PRIVATE KEY", keyDER)
}

func TestTLSWithClientCertificates(t *testing.T) {
	ca, dir := newAuthority(t, "ca"), t.TempDir()
	serverCert, serverKey := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	cert, key := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	ca.issue(serverCert, serverKey)
	server, endpoint := nbtest.StartTLS(t, serverCert, serverKey, ca.file)

	// The client starts with a certificate of an unknown CA, which the server refuses. The files are renewed later.
	newAuthority(t, "unknown").issue(cert, key)
	cfg, err := client.LoadTLS(cert, key, ca.file)
	if err != nil {
		t.Fatal(err)
	}
	log := newLogSink()
	db, err := client.New(client.Config{
		Database: client.NB, Endpoints: []string{endpoint}, TLS: cfg, Tables: switches, Log: log.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	ended := make(chan error, 1)
	go func() { ended <- db.Run(ctx) }()
	log.await(ctx, t, "cannot use database endpoint")
	if db.Connected() {
		t.Error("connected with a certificate of an unknown CA")
	}
	ca.issue(cert, key)
	if err := db.WaitSynced(ctx); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	commit(t, db, insertSwitch(testUUID(1), "over TLS"))
	if n := server.Client(t, switches...).Len("Logical_Switch"); n != 1 {
		t.Errorf("the server has %d rows, want 1", n)
	}
}

func TestTLSRefusesServerOfUnknownCA(t *testing.T) {
	ca, unknown, dir := newAuthority(t, "ca"), newAuthority(t, "unknown"), t.TempDir()
	cert, key := filepath.Join(dir, "pem"), filepath.Join(dir, "key")
	ca.issue(cert, key)
	_, endpoint := nbtest.StartTLS(t, cert, key, ca.file)
	cfg, err := client.LoadTLS(cert, key, unknown.file)
	if err != nil {
		t.Fatal(err)
	}
	log := newLogSink()
	db, err := client.New(client.Config{Database: client.NB, Endpoints: []string{endpoint}, TLS: cfg, Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	go func() { _ = db.Run(ctx) }() // it ends with the test
	log.await(ctx, t, "verify server: x509: certificate signed by unknown authority")
}

func TestLoadTLSReportsBadFile(t *testing.T) {
	ca, dir := newAuthority(t, "ca"), t.TempDir()
	cert, key, empty := filepath.Join(dir, "pem"), filepath.Join(dir, "key"), filepath.Join(dir, "empty")
	ca.issue(cert, key)
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ cert, key, ca, want string }{
		{filepath.Join(dir, "absent"), key, ca.file, "absent"},
		{empty, key, ca.file, empty},
		{cert, key, empty, empty + " has no PEM certificate"},
		{cert, key, filepath.Join(dir, "absent"), "absent"},
	} {
		if _, err := client.LoadTLS(c.cert, c.key, c.ca); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("LoadTLS(%s, %s, %s) = %v, want %q", c.cert, c.key, c.ca, err, c.want)
		}
	}
}
