// SPDX-License-Identifier: Apache-2.0

package model

import (
	"testing"

	v1 "github.com/wovensdn/woven/api/v1"
)

func TestProvider(t *testing.T) {
	for text, want := range map[Provider]struct {
		Attachment
		network Provider
	}{
		"":                    {Attachment{OVN: true}, ""},
		"ovn":                 {Attachment{OVN: true}, "ovn"},
		"net1.ns1.ovn":        {Attachment{NAD: "net1", Namespace: "ns1", OVN: true}, "net1.ns1.ovn"},
		"a.b.ns1.ovn":         {Attachment{NAD: "a.b", Namespace: "ns1", OVN: true}, "a.b.ns1.ovn"},
		"net1.ns1.ovn.eth1":   {Attachment{NAD: "net1", Namespace: "ns1", Interface: "eth1", OVN: true}, "net1.ns1.ovn"},
		"a.ovn.b.ns1.ovn.ovn": {Attachment{NAD: "a.ovn.b.ns1", Namespace: "ovn", OVN: true}, "a.ovn.b.ns1.ovn.ovn"},
		"net1.ns1":            {Attachment{NAD: "net1", Namespace: "ns1"}, "net1.ns1"},
		"a.ovn.b.ns1":         {Attachment{NAD: "a.ovn.b", Namespace: "ns1"}, "a.ovn.b.ns1"},
		"ovn.ns1":             {Attachment{NAD: "ovn", Namespace: "ns1"}, "ovn.ns1"},
		"macvlan":             {Attachment{NAD: "macvlan"}, "macvlan"},
	} {
		if got := text.Attachment(); got != want.Attachment || text.Network() != want.network || text.OVN() != want.OVN {
			t.Errorf("%q: %+v, network %q; want %+v, %q", text, got, text.Network(), want.Attachment, want.network)
		}
	}
	if p := AttachmentProvider("net1", "ns1"); p != "net1.ns1.ovn" {
		t.Errorf("AttachmentProvider gives %q", p)
	}
}

func TestProviderOfARecord(t *testing.T) {
	for name, want := range map[string]Provider{
		"web-0.shop": "ovn", "web-0.shop.net1.ns1.ovn": "net1.ns1.ovn", "web-0.shop.net1.ns1.ovn.eth1": "net1.ns1.ovn.eth1", "reserved": "ovn",
	} {
		o := &v1.IP{Spec: v1.IPSpec{Subnet: "s", IPAddress: "10.0.0.5", PodName: "web-0", Namespace: "shop"}}
		o.Name = name
		if ip, list := IPFrom(o); ip.Provider != want || len(list) > 0 {
			t.Errorf("%s: provider %q, %v; want %q", name, ip.Provider, list, want)
		}
	}
	node := &v1.IP{Spec: v1.IPSpec{Subnet: "join", IPAddress: "100.64.0.5", PodName: "n1"}}
	node.Name = "node-n1"
	if ip, _ := IPFrom(node); ip.Provider != DefaultProvider {
		t.Errorf("a node's record: provider %q", ip.Provider)
	}
}

// FuzzProvider: what is taken apart can be put together again.
func FuzzProvider(f *testing.F) {
	for _, text := range []string{"ovn", "net1.ns1.ovn", "net1.ns1.ovn.eth1", "net1.ns1", "a.ovn.ovn.ovn", ".ovn", "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := Provider(text)
		a := p.Attachment()
		if a.NAD == "" || a.Namespace == "" {
			return
		}
		want := a.NAD + "." + a.Namespace
		if a.OVN {
			want = string(AttachmentProvider(a.NAD, a.Namespace))
		}
		if string(p.Network()) != want {
			t.Fatalf("%q: network %q, %+v", text, p.Network(), a)
		}
		if a.Interface != "" {
			want += "." + a.Interface
		}
		if text != want {
			t.Fatalf("%q is taken apart to %+v", text, a)
		}
	})
}
