// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestCertificate(t *testing.T) {
	names := []string{"woven-webhook.kube-system.svc", "127.0.0.1", "fd00::1"}
	first, err := issue(names, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := parse(first, names, noon)
	if err != nil {
		t.Fatal(err)
	}
	other, err := issue(names, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	if pair.Leaf.IsCA {
		t.Error("the serving certificate is a CA")
	}
	for what, use := range map[string]func() error{
		"another name": func() error { _, err := parse(first, append(names, "other"), noon); return err },
		"expires soon": func() error { _, err := parse(first, names, noon.Add(lifetime*2/3+time.Hour)); return err },
		"expired":      func() error { _, err := parse(first, names, noon.Add(lifetime+time.Hour)); return err },
		"no data":      func() error { _, err := parse(nil, names, noon); return err },
		"no CA": func() error {
			_, err := parse(map[string][]byte{keyCert: first[keyCert], keyKey: first[keyKey]}, names, noon)
			return err
		},
		"no key": func() error {
			_, err := parse(map[string][]byte{keyCert: first[keyCert], keyCA: first[keyCA]}, names, noon)
			return err
		},
		"another key": func() error {
			_, err := parse(map[string][]byte{keyCert: first[keyCert], keyKey: other[keyKey], keyCA: first[keyCA]}, names, noon)
			return err
		},
	} {
		if use() == nil {
			t.Errorf("%s: the certificate is accepted", what)
		}
	}

	later := noon.Add(lifetime * 3 / 4)
	second, err := issue(names, first[keyCA], later)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(second[keyCA])
	for what, data := range map[string]map[string][]byte{"new": second, "old": first} {
		served, err := tls.X509KeyPair(data[keyCert], data[keyKey])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := served.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: names[0], CurrentTime: later}); err != nil {
			t.Errorf("the new CA bundle does not verify the %s certificate: %v", what, err)
		}
	}
	third, err := issue(names, append(second[keyCA], "and nonsense"...), noon.Add(lifetime+time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(third[keyCA], []byte("BEGIN")); n != 2 {
		t.Errorf("the bundle has %d CAs, want 2 without the expired one", n)
	}
}

func TestBundlePatch(t *testing.T) {
	o := &admissionregistrationv1.ValidatingWebhookConfiguration{Webhooks: make([]admissionregistrationv1.ValidatingWebhook, 2)}
	o.ResourceVersion = "7"
	o.Webhooks[0].ClientConfig.CABundle = []byte("ca")
	data, err := bundlePatch(o, []byte("ca"))
	if err != nil {
		t.Fatal(err)
	}
	var patch []struct {
		Op, Path string
		Value    string
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		t.Fatal(err)
	}
	if len(patch) != 2 || patch[0].Value != "7" || !strings.HasPrefix(patch[1].Path, "/webhooks/1/") || patch[1].Value != "Y2E=" {
		t.Errorf("patch is %s", data)
	}
	o.Webhooks[1].ClientConfig.CABundle = []byte("ca")
	if data, err := bundlePatch(o, []byte("ca")); err != nil || data != nil {
		t.Errorf("patch of an unchanged configuration: %s, %v", data, err)
	}
}
