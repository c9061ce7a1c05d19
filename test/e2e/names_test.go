// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// ovnTTL is the TTL of OVN's DNS responses in seconds (DNS_DEFAULT_RR_TTL of ovn-controller). The sandbox's CoreDNS has
// a TTL of 5 or less, so the TTL shows who responded.
const ovnTTL = "3600"

// On a dual-stack sandbox whose OVN responds to DNS queries for names of Services, pods resolve these with and without
// a running DNS server.
func TestNames(t *testing.T) {
	te := alone(t, sandbox.Options{Name: sandboxName("e2en"), DNS: true, OVNDNS: true})
	namespace := te.namespace("names", nil)
	resolvers := te.resolvers(namespace)
	addresses := te.service(namespace, "web", map[string]string{"app": "nobody"}, nil)
	te.service(namespace, "db", map[string]string{"app": "resolver"}, func(s *corev1.ServiceSpec) { s.ClusterIP, s.Ports = corev1.ClusterIPNone, nil })
	te.stands(resolvers, "web."+namespace, addresses)
	te.stands(resolvers, "db."+namespace, podIPs(resolvers...))
	te.stands(resolvers, "host-n2.db."+namespace, podIPs(resolvers[1]))
	for _, address := range addresses {
		te.reverse(resolvers, address, "web."+namespace)
	}
	te.fromOnePort(resolvers, "web."+namespace)
	te.leftToServer(resolvers, namespace)
	te.policed(resolvers[0], "web."+namespace, addresses)
	te.recordsComeBack(resolvers, namespace, addresses)
	te.withoutServer(resolvers, namespace, addresses)
	te.must(te.api.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}), "delete Service")
	te.stands(resolvers, "web."+namespace, nil)
	te.consistent(30 * time.Second)
}

// resolvers are one pod on each node, with host names below the Service db.
func (t *test) resolvers(namespace string) (pods []*corev1.Pod) {
	t.Helper()
	for n := 1; n <= t.cluster.Nodes(); n++ {
		node := sandbox.NodeName(n)
		pod := t.newPod(namespace, "on-"+node, node, nil)
		pod.Labels = map[string]string{"app": "resolver"}
		pod.Spec.Hostname, pod.Spec.Subdomain = "host-"+node, "db"
		pod.Spec.Containers[0].Image = sandbox.AgnhostImage
		t.create(pod)
	}
	for n := 1; n <= t.cluster.Nodes(); n++ {
		pods = append(pods, t.becomes(namespace, "on-"+sandbox.NodeName(n), 40*time.Second))
	}
	return pods
}

func podIPs(pods ...*corev1.Pod) (out []string) {
	for _, pod := range pods {
		for _, ip := range pod.Status.PodIPs {
			out = append(out, ip.IP)
		}
	}
	return out
}

// dig returns the record data that a pod gets for a query, sorted. byOVN means that the TTL is OVN's. err is dig's
// error, if there is no response.
func (t *test) dig(ctx context.Context, pod *corev1.Pod, question ...string) (data []string, byOVN bool, err error) {
	args := append([]string{"dig", "+noall", "+answer", "+time=1", "+tries=2"}, question...)
	out, err := t.inPod(ctx, pod, args...)
	if err != nil {
		return nil, false, err
	}
	byOVN = true
	for line := range strings.Lines(out) {
		fields := strings.Fields(line) // name, time to live, class, type, data
		if len(fields) < 5 || strings.HasPrefix(line, ";") {
			continue
		}
		byOVN = byOVN && fields[1] == ovnTTL
		data = append(data, strings.Join(fields[4:], " "))
	}
	slices.Sort(data)
	return data, byOVN && len(data) > 0, nil
}

// stands waits until OVN resolves a name to these addresses for all pods or, without addresses, until it does not
// respond.
func (t *test) stands(pods []*corev1.Pod, name string, addresses []string) {
	t.Helper()
	start := time.Now()
	want := map[string][]string{}
	for _, a := range slices.Sorted(slices.Values(addresses)) {
		kind := "A"
		if netip.MustParseAddr(a).Is6() {
			kind = "AAAA"
		}
		want[kind] = append(want[kind], a)
	}
	t.wait(20*time.Second, name+" stands for "+strings.Join(addresses, ", "), func(ctx context.Context) string {
		for _, pod := range pods {
			for _, kind := range []string{"A", "AAAA"} {
				got, byOVN, err := t.dig(ctx, pod, name+".svc.cluster.local", kind)
				if len(want[kind]) == 0 && !byOVN {
					continue // no response, or not from OVN
				}
				if err != nil || !byOVN || !slices.Equal(got, want[kind]) {
					return fmt.Sprintf("%s gets %s %v, from OVN: %t, %v", pod.Name, kind, got, byOVN, err)
				}
			}
		}
		return ""
	})
	t.say("%s stands for %v (seen after %.1f s)", name, addresses, time.Since(start).Seconds())
}

func (t *test) reverse(pods []*corev1.Pod, address, name string) {
	t.Helper()
	for _, pod := range pods {
		got, byOVN, err := t.dig(t.Context(), pod, "-x", address)
		if err != nil || !byOVN || !slices.Equal(got, []string{name + ".svc.cluster.local."}) {
			t.Errorf("%s: the name of %s is %v, by OVN: %t, %v", pod.Name, address, got, byOVN, err)
		}
	}
}

// fromOnePort queries both IP families from one port in sequence, as some resolvers do.
func (t *test) fromOnePort(pods []*corev1.Pod, name string) {
	t.Helper()
	for _, pod := range pods {
		for range 3 {
			if got, byOVN, err := t.dig(t.Context(), pod, "-b", pod.Status.PodIP+"#5353", name+".svc.cluster.local"); err != nil || !byOVN {
				t.Errorf("%s: %s asked from one port: %v, by OVN: %t, %v", pod.Name, name, got, byOVN, err)
			}
		}
		if out, err := t.inPod(t.Context(), pod, "sh", "-c", "for i in $(seq 100); do getent ahosts "+name+" >/dev/null || exit 1; done"); err != nil {
			t.Errorf("%s: 100 times getent ahosts %s: %q, %v", pod.Name, name, out, err)
		}
	}
	t.say("queries for both IP families from one port get responses")
}

// policed checks that OVN does not respond to a pod that a policy forbids to query the cluster's DNS.
func (t *test) policed(pod *corev1.Pod, name string, addresses []string) {
	t.Helper()
	policy := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: "asks-nobody"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}},
	}
	t.create(policy)
	t.wait(20*time.Second, "a pod without egress gets no response", func(ctx context.Context) string {
		got, byOVN, err := t.dig(ctx, pod, name+".svc.cluster.local", "A")
		if err == nil {
			return fmt.Sprintf("answered %v, by OVN: %t", got, byOVN)
		}
		return ""
	})
	policy.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{
		NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
	}}}}
	t.must(t.api.Update(t.Context(), policy), "change policy")
	t.stands([]*corev1.Pod{pod}, name, addresses)
	t.must(t.api.Delete(t.Context(), policy), "delete policy")
}

// leftToServer checks that the cluster's DNS responds to queries without records in OVN, and to queries over TCP.
func (t *test) leftToServer(pods []*corev1.Pod, namespace string) {
	t.Helper()
	for _, question := range [][]string{
		{"_tcp._tcp.web." + namespace + ".svc.cluster.local", "SRV"},
		{"web." + namespace + ".svc.cluster.local", "A", "+tcp"},
		{strings.ReplaceAll(pods[0].Status.PodIP, ".", "-") + "." + namespace + ".pod.cluster.local", "A"},
	} {
		for _, pod := range pods {
			t.wait(20*time.Second, "CoreDNS answers "+strings.Join(question, " "), func(ctx context.Context) string {
				got, byOVN, err := t.dig(ctx, pod, question...)
				if err != nil || byOVN || len(got) != 1 {
					return fmt.Sprintf("%v, by OVN: %t, %v", got, byOVN, err)
				}
				return ""
			})
		}
	}
	t.say("CoreDNS responds to other queries")
}

// recordsComeBack deletes all rows of table DNS and checks that they are restored.
func (t *test) recordsComeBack(pods []*corev1.Pod, namespace string, addresses []string) {
	t.Helper()
	var rows []string
	eachRow(t.sources.NB, nb.DNSTable, func(uuid string, _ any) bool {
		rows = append(rows, uuid)
		return true
	})
	t.nbctl(append([]string{"destroy", "DNS"}, rows...)...)
	t.stands(pods, "web."+namespace, addresses)
}

// withoutServer checks that names of Services resolve while the cluster's DNS has no pod, through the C library's
// resolver with its search list.
func (t *test) withoutServer(pods []*corev1.Pod, namespace string, addresses []string) {
	t.Helper()
	t.scaleDNS(0)
	t.wait(30*time.Second, "CoreDNS does not answer", func(ctx context.Context) string {
		if got, _, err := t.dig(ctx, pods[0], "_tcp._tcp.web."+namespace+".svc.cluster.local", "SRV"); err == nil {
			return fmt.Sprintf("answered %v", got)
		}
		return ""
	})
	t.stands(pods, "web."+namespace, addresses)
	for _, address := range addresses {
		t.reverse(pods, address, "web."+namespace)
	}
	for _, pod := range pods {
		out, err := t.inPod(t.Context(), pod, "getent", "ahosts", "web")
		for _, address := range addresses {
			if err != nil || !strings.Contains(out, address) {
				t.Errorf("%s: getent ahosts web: %q, %v, want %s", pod.Name, out, err, address)
			}
		}
	}
	t.scaleDNS(1)
	t.leftToServer(pods, namespace)
}

func (t *test) scaleDNS(replicas int) {
	t.Helper()
	dns := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}}
	t.must(t.api.Patch(t.Context(), dns, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas))), "scale CoreDNS")
}
