package node

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
)

func TestRefusals(t *testing.T) {
	subnet := func(name, cidr string, created int64) v1.Subnet {
		return v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(created, 0))}, Spec: v1.SubnetSpec{CIDRBlock: cidr}}
	}
	node := func(name, address string, created int64) corev1.Node {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(created, 0))}}
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}
		return n
	}
	elsewhere := subnet("elsewhere", "10.16.0.0/16", 99)
	elsewhere.Spec.Vpc = "another"
	got := refusals([]v1.Subnet{
		subnet("ovn-default", "10.16.0.0/16,fd00:10:16::/112", 5),
		subnet("inside", "10.16.128.0/17", 6),
		subnet("around", "fd00:10::/32", 7),
		subnet("beside", "10.17.0.0/16", 8),
		subnet("nodes", "192.168.77.0/24", 20),
		subnet("before", "192.168.78.0/24", 3),
		subnet("api", "203.0.113.0/24", 4),
		subnet("unreadable", "10.16.0.0", 9),
		elsewhere,
	}, []corev1.Node{node("n1", "192.168.77.11", 10), node("n2", "192.168.78.12", 10)}, []netip.Addr{netip.MustParseAddr("203.0.113.6")}, "ovn-cluster")
	for name, want := range map[string]string{
		"inside": "overlaps 10.16.0.0/16 of Subnet ovn-default", "around": "overlaps fd00:10:16::/112 of Subnet ovn-default",
		"nodes": "holds InternalIP 192.168.77.11 of Node n1", "api": "holds the address of the API server, 203.0.113.6",
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
