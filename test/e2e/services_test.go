// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

const servicePort = 80

// On a dual-stack sandbox without kube-proxy, pods and hosts reach Services: TCP and UDP, of pods and of hosts, from
// their own backends, with affinity, and without a backend.
func TestServices(t *testing.T) {
	te := alone(t, sandbox.Options{Name: sandboxName("e2es"), DNS: true})
	before := te.inventory()
	namespace := te.namespace("services", nil)
	te.spread(namespace, 4)
	pods := te.ready(namespace, 4, 60*time.Second)
	te.servedByPods(pods)
	te.servedByItself(&pods[0])
	te.servedByNobody(pods)
	te.servedByTheSame(pods)
	te.servedWithAffinityTimeout(pods)
	te.servedByHosts(pods)
	te.apiServerFromHosts(pods)
	te.backendsComeAndGo(pods)
	te.names(namespace)
	te.consistent(10 * time.Second)
	te.nothingLeft(before, namespace)
}

// service creates a Service with TCP and UDP ports, with all IP families of the cluster.
func (t *test) service(namespace, name string, selector map[string]string, change func(*corev1.ServiceSpec)) []string {
	t.Helper()
	policy := corev1.IPFamilyPolicyPreferDualStack
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{
		IPFamilyPolicy: &policy, Selector: selector,
		Ports: []corev1.ServicePort{
			{Name: "tcp", Port: servicePort, TargetPort: intstr.FromInt32(wire.HelloPort)},
			{Name: "udp", Port: servicePort, TargetPort: intstr.FromInt32(wire.HelloPort), Protocol: corev1.ProtocolUDP},
		},
	}}
	if change != nil {
		change(&s.Spec)
	}
	t.create(s)
	return s.Spec.ClusterIPs
}

// balanced waits until all nodes have a Service's load balancer with this number of backends for its first address.
func (t *test) balanced(namespace, name string, address string, backends int) {
	t.Helper()
	t.wait(20*time.Second, "load balancer of Service "+name, func(ctx context.Context) string {
		out, err := t.cluster.NBCtl(ctx, "--bare", "--columns=vips", "find", "Load_Balancer", "name=service/"+namespace+"/"+name+"/tcp")
		if err != nil {
			return err.Error()
		}
		for entry := range strings.FieldsSeq(out) {
			vip, list, _ := strings.Cut(entry, "=")
			if vip == hostPort(address, servicePort) && len(strings.Split(list, ",")) == backends {
				return ""
			}
		}
		return out
	})
	t.must(t.flowsInstalled(), "wait for the flows")
}

func toServices(addresses []string, ways ...string) (targets []wire.Target) {
	for _, address := range addresses {
		for _, how := range ways {
			targets = append(targets, wire.Target{How: how, Address: hostPort(address, servicePort)})
		}
	}
	return targets
}

// everybody connects from all pods and hosts, and expects an empty verdict on each answer.
func (t *test) everybody(what string, pods []corev1.Pod, targets []wire.Target, verdict func(from *corev1.Pod, a wire.Answer) string) {
	t.Helper()
	start := time.Now()
	asked, wrong := t.mesh(pods, func(*corev1.Pod) []wire.Target { return targets }, verdict)
	for n := 1; n <= t.cluster.Nodes(); n++ {
		answers, err := t.askNode(t.Context(), n, targets)
		t.must(err, "ask from node %d", n)
		for _, a := range answers {
			asked++
			if text := verdict(nil, a); text != "" {
				wrong = append(wrong, fmt.Sprintf("node %s → %s %s: %s", sandbox.NodeName(n), a.How, a.Address, text))
			}
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%s: %d of %d failed:\n%s", what, len(wrong), asked, lines(wrong, 20))
		return
	}
	t.say("%s: %d answers in %.1f s", what, asked, time.Since(start).Seconds())
}

// answered expects any reply.
func answered(_ *corev1.Pod, a wire.Answer) string { return a.Error }

func (t *test) servedByPods(pods []corev1.Pod) {
	t.Helper()
	addresses := t.service(pods[0].Namespace, "web", map[string]string{"app": "peer"}, nil)
	t.balanced(pods[0].Namespace, "web", addresses[0], len(pods)) // until then the host asks for its pods
	var backends []string
	targets := slices.Repeat(toServices(addresses, wire.Hello, wire.Send), 4)
	t.everybody("a Service of pods", pods, targets, func(from *corev1.Pod, a wire.Answer) string {
		virtual := slices.Contains(underItself(), a.SeenAs)
		if a.Error == "" && from != nil && !hasIP(from, a.SeenAs) && !virtual {
			return "seen as " + a.SeenAs
		}
		backends = append(backends, a.By)
		return a.Error
	})
	for i := range pods {
		if !slices.ContainsFunc(backends, func(by string) bool { return hasIP(&pods[i], by) }) {
			t.Errorf("pod %s never answered", pods[i].Name)
		}
	}
}

// underItself are the source addresses of a pod's connections to itself through a Service.
func underItself() []string {
	return []string{compile.DefaultServiceSource.V4.Addr().String(), compile.DefaultServiceSource.V6.Addr().String()}
}

func (t *test) servedByItself(pod *corev1.Pod) {
	t.Helper()
	t.must(t.api.Patch(t.Context(), pod, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"only":"one"}}}`))), "label pod")
	addresses := t.service(pod.Namespace, "one", map[string]string{"only": "one"}, nil)
	t.balanced(pod.Namespace, "one", addresses[0], 1)
	t.everybody("a pod that serves itself, and others", []corev1.Pod{*pod}, toServices(addresses, wire.Hello, wire.Send), func(from *corev1.Pod, a wire.Answer) string {
		if from != nil && a.Error == "" && !slices.Contains(underItself(), a.SeenAs) {
			return fmt.Sprintf("seen as %s, want one of %v", a.SeenAs, underItself())
		}
		return a.Error
	})
}

func (t *test) servedByNobody(pods []corev1.Pod) {
	t.Helper()
	addresses := t.service(pods[0].Namespace, "nobody", map[string]string{"app": "nobody"}, nil)
	targets := toServices(addresses, wire.Connect, wire.Send)
	for i := range targets {
		targets[i].Refused = true
	}
	t.everybody("a Service without endpoints refuses", pods, targets, answered)
}

func (t *test) servedByTheSame(pods []corev1.Pod) {
	t.Helper()
	addresses := t.service(pods[0].Namespace, "sticky", map[string]string{"app": "peer"}, func(s *corev1.ServiceSpec) {
		s.SessionAffinity = corev1.ServiceAffinityClientIP
	})
	t.balanced(pods[0].Namespace, "sticky", addresses[0], len(pods))
	by := map[string]string{} // by client and family
	t.everybody("a Service with affinity", pods, slices.Repeat(toServices(addresses, wire.Hello), 6), func(from *corev1.Pod, a wire.Answer) string {
		if a.Error == "" && a.Tries > 1 {
			return fmt.Sprintf("answered at try %d", a.Tries)
		}
		if from == nil || a.Error != "" {
			return a.Error
		}
		key := from.Name + " to " + a.Address
		if was, ok := by[key]; ok && was != a.By {
			return "answered by " + was + " and by " + a.By
		}
		by[key] = a.By
		return ""
	})
}

// servedByHosts tests Services whose only backend is one node's kubelet, from all pods and nodes, that node included.
func (t *test) servedByHosts(pods []corev1.Pod) {
	t.Helper()
	var targets []wire.Target
	for n := 1; n <= t.cluster.Nodes(); n++ {
		name := "kubelet-" + sandbox.NodeName(n)
		addresses := t.service(pods[0].Namespace, name, nil, nil)
		for _, v6 := range []bool{false, true}[:len(addresses)] {
			t.create(endpointsOn(pods[0].Namespace, name, sandbox.NodeAddr(n, v6).String(), v6))
		}
		targets = append(targets, toServices(addresses, wire.Connect)...)
	}
	t.everybody("a Service of a host", pods, targets, answered)
}

// endpointsOn is a slice with one address, that of a kubelet.
func endpointsOn(namespace, service, address string, v6 bool) *discoveryv1.EndpointSlice {
	name, port, kind := "tcp", int32(kubeletPort), discoveryv1.AddressTypeIPv4
	if v6 {
		kind = discoveryv1.AddressTypeIPv6
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: service + "-" + strings.ToLower(string(kind)), Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: kind, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}}},
	}
}

// apiServerFromHosts tests the Service of the API server, which is outside of OVN and of all nodes.
func (t *test) apiServerFromHosts(pods []corev1.Pod) {
	t.Helper()
	t.everybody("the Service kubernetes", pods, []wire.Target{{How: wire.Connect, Address: t.apiService()}}, answered)
}

// backendsComeAndGo checks that a Service follows its pods.
func (t *test) backendsComeAndGo(pods []corev1.Pod) {
	t.Helper()
	addresses := t.service(pods[0].Namespace, "changing", map[string]string{"only": "one"}, nil)
	targets := toServices(addresses, wire.Hello, wire.Send)
	t.everybody("one backend", pods[1:], targets, answered)
	next := &pods[1]
	t.must(t.api.Patch(t.Context(), next, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"only":"one"}}}`))), "label pod")
	t.must(t.api.Delete(t.Context(), &pods[0], client.GracePeriodSeconds(0)), "delete pod")
	t.wait(20*time.Second, "the other backend alone is in the slices", func(ctx context.Context) string {
		var list discoveryv1.EndpointSliceList
		if err := t.api.List(ctx, &list, client.InNamespace(next.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: "changing"}); err != nil {
			return err.Error()
		}
		for i := range list.Items {
			if got := list.Items[i].Endpoints; len(got) != 1 || !hasIP(next, got[0].Addresses[0]) {
				return fmt.Sprint(got)
			}
		}
		return ""
	})
	t.everybody("another backend in its place", pods[1:], targets, func(from *corev1.Pod, a wire.Answer) string {
		if a.Error == "" && a.How == wire.Hello && !hasIP(next, a.By) {
			return "answered by " + a.By
		}
		return answered(from, a)
	})
}

// names resolves a name through the Service of the cluster's DNS, with the C library's resolver and its search list.
func (t *test) names(namespace string) {
	t.Helper()
	pod := t.newPod(namespace, "resolver", "", nil)
	pod.Labels = nil // it is no backend
	pod.Spec.Containers[0].Image = sandbox.AgnhostImage
	t.create(pod)
	resolver := t.becomes(namespace, "resolver", 40*time.Second)
	want, _, _ := strings.Cut(t.apiService(), ":")
	for _, name := range []string{"kubernetes.default", "kubernetes.default.svc.cluster.local"} {
		out, err := t.inPod(t.Context(), resolver, "getent", "hosts", name)
		if fields := strings.Fields(out); err != nil || len(fields) == 0 || fields[0] != want {
			t.Errorf("getent hosts %s: %q, %v, want %s", name, out, err, want)
		}
	}
	t.say("names of Services are resolved through the Service of the DNS")
}
