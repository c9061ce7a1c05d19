// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
)

func TestRefusals(t *testing.T) {
	inVpc := func(vpc, name, cidr string, created int64) Subnet {
		return SubnetOf(&v1.Subnet{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(created, 0))}, Spec: v1.SubnetSpec{CIDRBlock: cidr, Vpc: vpc},
		})
	}
	of := func(name, cidr string, created int64) Subnet { return inVpc("", name, cidr, created) }
	node := func(name, address string, created int64) *model.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(created, 0))}}
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}
		projected := NodeOf(n, "")
		return &projected
	}
	got := Refusals([]Subnet{
		of("ovn-default", "10.16.0.0/16,fd00:10:16::/112", 5),
		of("inside", "10.16.128.0/17", 6),
		of("around", "fd00:10::/32", 7),
		of("beside", "10.17.0.0/16", 8),
		of("nodes", "192.168.77.0/24", 20),
		of("before", "192.168.78.0/24", 3),
		of("api", "203.0.113.0/24", 4),
		of("unreadable", "10.16.0.0", 9),
		inVpc("another", "elsewhere", "10.16.0.0/16", 99),
	}, []*model.Node{node("n1", "192.168.77.11", 10), node("n2", "192.168.78.12", 10)}, model.Infrastructure{APIServers: []netip.Addr{netip.MustParseAddr("203.0.113.6")}})
	for name, want := range map[string]string{
		"inside": "overlaps 10.16.0.0/16 of Subnet ovn-default", "around": "overlaps fd00:10:16::/112 of Subnet ovn-default",
		"nodes": "contains InternalIP 192.168.77.11 of Node n1", "api": "contains 203.0.113.6, an address of the API server",
	} {
		if !strings.Contains(got[name], want) {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("refused as well: %v", slices.Sorted(maps.Keys(got)))
	}
}
