// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
)

// lease runs a DHCP client in the pod and prints the lease as udhcpc passes it to its script, as names and values. The
// interface is not changed.
const lease = `printf '#!/bin/sh\n[ "$1" = bound ] && env\nexit 0\n' > /tmp/script && chmod +x /tmp/script && udhcpc -f -n -q -t 3 -T 1 -i eth0 -s /tmp/script`

// OVN replies to a pod's DHCP request with the pod's own address and the subnet's options, also after they change while
// the pod runs, and does not reply once DHCP is disabled.
func TestDHCP(t *testing.T) {
	te := begin(t, shared)
	lab := subnet("lab", "10.72.0.0/24", "lab")
	lab.Spec.EnableDHCP, lab.Spec.DHCPv4Options, lab.Spec.Mtu = true, "lease_time=7200,dns_server={10.96.0.10, 10.96.0.11}", 1300
	te.create(lab)
	te.namespace("lab", nil)
	te.create(te.newPod("lab", "a", "n1", nil))
	pod := te.becomes("lab", "a", 40*time.Second)
	gets := func(what string, texts ...string) {
		t.Helper()
		te.wait(20*time.Second, what, func(ctx context.Context) string {
			out, err := te.inPod(ctx, pod, "sh", "-c", lease)
			if err != nil || !containsAll(out, texts) {
				return fmt.Sprintf("%q %v, want %v", out, err, texts)
			}
			return ""
		})
		te.say("%s: %s", what, strings.Join(texts, " "))
	}
	gets("the options of the subnet", "ip="+pod.Status.PodIP, "lease=7200", "dns=10.96.0.10 10.96.0.11", "router=10.72.0.1", "mtu=1300", "serverid=169.254.0.254", "mask=24")
	te.patch("lab", `{"dhcpV4Options":"lease_time=600,router=10.72.0.254","mtu":1350}`)
	gets("other options on the live subnet", "ip="+pod.Status.PodIP, "lease=600", "router=10.72.0.254", "mtu=1350")
	te.wait(10*time.Second, "the status names the row", func(ctx context.Context) string {
		s := &v1.Subnet{}
		if err := te.api.Get(ctx, client.ObjectKey{Name: "lab"}, s); err != nil || s.Status.DHCPv4OptionsUUID == "" {
			return fmt.Sprint(s.Status.DHCPv4OptionsUUID, err)
		}
		if out, err := te.cluster.NBCtl(ctx, "dhcp-options-get-options", s.Status.DHCPv4OptionsUUID); err != nil || !strings.Contains(out, "lease_time=600") {
			return fmt.Sprint(out, err)
		}
		return ""
	})
	te.patch("lab", `{"enableDHCP":false}`)
	te.wait(20*time.Second, "no DHCP reply any more", func(ctx context.Context) string {
		out, err := te.inPod(ctx, pod, "sh", "-c", lease)
		if err == nil {
			return out
		}
		return ""
	})
	te.consistent(10 * time.Second)
}
