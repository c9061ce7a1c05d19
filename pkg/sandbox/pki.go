// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// certificateLife is how long a sandbox's certificates are valid, longer than a sandbox lives.
const certificateLife = 365 * 24 * time.Hour

// authority is a certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// keyPair is a certificate and its private key, PEM-encoded (X.509 and PKCS #8).
type keyPair struct{ cert, key []byte }

// certRequest is the content of a certificate.
type certRequest struct {
	commonName string
	groups     []string // organizations: Kubernetes reads them as groups
	server     bool
	client     bool
	dnsNames   []string
	addrs      []netip.Addr
}

func newAuthority(name string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create the key of CA %s: %w", name, err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign CA %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse CA %s: %w", name, err)
	}
	return &authority{cert: cert, key: key, pem: pemBlock("CERTIFICATE", der)}, nil
}

func (a *authority) issue(req certRequest, now time.Time) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("create the key of %s: %w", req.commonName, err)
	}
	serial, err := newSerial()
	if err != nil {
		return keyPair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: req.commonName, Organization: req.groups},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, DNSNames: req.dnsNames,
	}
	if req.server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if req.client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, addr := range req.addrs {
		template.IPAddresses = append(template.IPAddresses, net.IP(addr.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("sign the certificate of %s: %w", req.commonName, err)
	}
	keyPEM, err := keyBlock(key)
	return keyPair{cert: pemBlock("CERTIFICATE", der), key: keyPEM}, err
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("create a serial number: %w", err)
	}
	return serial, nil
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func keyBlock(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a private key: %w", err)
	}
	return pemBlock("PRIVATE KEY", der), nil
}

// pkiFiles collects the keys, certificates and kubeconfigs of a sandbox: file name → content.
type pkiFiles struct {
	files map[string][]byte
	now   time.Time
}

// newPKI issues all certificates and kubeconfigs of a sandbox. Each trust domain has its own CA: a client of the API
// server is thereby not a client of etcd or of OVN's databases, and a node, which is a client of the southbound
// database, is not one of the northbound database.
func newPKI(p Plan, now time.Time) (map[string][]byte, error) {
	pki := &pkiFiles{files: map[string][]byte{}, now: now}
	cas := map[string]*authority{}
	for _, name := range []string{"ca", "etcd-ca", "front-proxy-ca", "ovn-nb-ca", "ovn-sb-ca"} {
		ca, err := newAuthority("woven-sandbox-"+name, now)
		if err != nil {
			return nil, err
		}
		cas[name] = ca
		pki.files[name+".crt"] = ca.pem
	}
	caKey, err := keyBlock(cas["ca"].key) // the controller-manager signs certificate requests with it
	if err != nil {
		return nil, err
	}
	pki.files["ca.key"] = caKey
	for _, c := range certificates(p) {
		if err := pki.issue(cas, c); err != nil {
			return nil, err
		}
	}
	return pki.files, pki.serviceAccountKey()
}

// certificate is one certificate and key of the PKI and, if kubeconfig is set, a client configuration.
type certificate struct {
	ca, file   string
	req        certRequest
	kubeconfig bool
}

func certificates(p Plan) []certificate {
	loopback := netip.MustParseAddr("127.0.0.1")
	apiNames := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}
	apiAddrs := []netip.Addr{loopback, ControlAddr(), hostAddr(serviceNet4, 1), hostAddr(nodeNet6, controlHost), hostAddr(serviceNet6, 1)}
	central := []netip.Addr{ControlAddr(), loopback, hostAddr(nodeNet6, controlHost)}
	client := func(file, user string, groups ...string) certificate {
		return certificate{"ca", file, certRequest{commonName: user, groups: groups, client: true}, true}
	}
	list := []certificate{
		{"ca", "apiserver", certRequest{commonName: "kube-apiserver", server: true, dnsNames: apiNames, addrs: apiAddrs}, false},
		{"ca", "apiserver-kubelet", certRequest{commonName: "apiserver-kubelet", groups: []string{"system:masters"}, client: true}, false},
		{"etcd-ca", "etcd", certRequest{commonName: "etcd", server: true, client: true, dnsNames: []string{"localhost"}, addrs: []netip.Addr{loopback}}, false},
		{"etcd-ca", "apiserver-etcd", certRequest{commonName: "apiserver-etcd", client: true}, false},
		{"front-proxy-ca", "front-proxy", certRequest{commonName: "front-proxy-client", client: true}, false},
		{"ovn-nb-ca", "ovn-nb", certRequest{commonName: "ovn-nb", server: true, dnsNames: []string{"localhost"}, addrs: central}, false},
		{"ovn-sb-ca", "ovn-sb", certRequest{commonName: "ovn-sb", server: true, dnsNames: []string{"localhost"}, addrs: central}, false},
		{"ovn-nb-ca", "ovn-nb-client", certRequest{commonName: "woven-controller", client: true}, false},
		client("admin", "admin", "system:masters"),
		client("kube-controller-manager", "system:kube-controller-manager"),
		client("kube-scheduler", "system:kube-scheduler"),
		client("kube-proxy", "system:kube-proxy"),
		client("woven-controller", "woven-controller"),
	}
	for n := 1; n <= p.Nodes; n++ {
		name := NodeName(n)
		addrs := []netip.Addr{NodeAddr(n, false)}
		if p.DualStack {
			addrs = append(addrs, NodeAddr(n, true))
		}
		list = append(list,
			client(name, "system:node:"+name, "system:nodes"),
			certificate{"ca", name + "-serving", certRequest{commonName: "system:node:" + name, groups: []string{"system:nodes"}, server: true, dnsNames: []string{name}, addrs: addrs}, false},
			client("woven-cniserver-"+name, "woven:cniserver:"+name, "woven:cniservers"),
			certificate{"ovn-sb-ca", name + "-ovn", certRequest{commonName: name, client: true}, false},
		)
	}
	return list
}

func (f *pkiFiles) issue(cas map[string]*authority, c certificate) error {
	ca := cas[c.ca]
	pair, err := ca.issue(c.req, f.now)
	if err != nil {
		return err
	}
	f.files[c.file+".crt"], f.files[c.file+".key"] = pair.cert, pair.key
	if !c.kubeconfig {
		return nil
	}
	f.files[c.file+".conf"], err = kubeconfig(c.req.commonName, ca.pem, pair)
	return err
}

// serviceAccountKey adds the key pair that signs service account tokens.
func (f *pkiFiles) serviceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("create the service account key: %w", err)
	}
	if f.files["sa.key"], err = keyBlock(key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode the service account key: %w", err)
	}
	f.files["sa.pub"] = pemBlock("PUBLIC KEY", der)
	return nil
}
