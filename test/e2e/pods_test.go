// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// namespace creates a namespace that is deleted when the test ends.
func (t *test) namespace(name string, annotations map[string]string) string {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}
	t.wait(30*time.Second, "make namespace "+name, func(ctx context.Context) string {
		// One with that name may still be terminating.
		if err := t.api.Create(ctx, object.DeepCopy()); err != nil {
			return err.Error()
		}
		return ""
	})
	t.made = append(t.made, object)
	// Pods need the namespace's default service account.
	t.wait(10*time.Second, "service account of namespace "+name, func(ctx context.Context) string {
		err := t.api.Get(ctx, client.ObjectKey{Namespace: name, Name: "default"}, &corev1.ServiceAccount{})
		if err != nil {
			return err.Error()
		}
		return ""
	})
	return name
}

// create creates an object that is deleted when the test ends.
func (t *test) create(object client.Object) {
	t.Helper()
	t.must(t.api.Create(t.Context(), object), "create %T %s", object, object.GetName())
	t.made = append(t.made, object)
}

// remove deletes objects and waits until they are gone, so that they do not affect the next test.
func (t *test) remove(objects ...client.Object) {
	t.Helper()
	var wg sync.WaitGroup
	for _, object := range objects {
		wg.Go(func() {
			if missing := t.gone(object); missing != "" {
				t.Errorf("delete %T %s: %s", object, object.GetName(), missing)
			}
		})
	}
	wg.Wait()
}

// gone deletes an object and waits until it is gone or, for a namespace, until its pods are: the remainder takes long.
func (t *test) gone(object client.Object) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := t.api.Delete(ctx, object, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
		return err.Error()
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		missing := t.stillThere(ctx, object)
		if missing == "" {
			return ""
		}
		select {
		case <-ctx.Done():
			return "still there after two minutes: " + missing
		case <-ticker.C:
		}
	}
}

func (t *test) stillThere(ctx context.Context, object client.Object) string {
	if namespace, ok := object.(*corev1.Namespace); ok {
		pods, err := t.podsOf(ctx, namespace.Name)
		switch {
		case err != nil:
			return err.Error()
		case len(pods) > 0:
			return fmt.Sprintf("%d pods", len(pods))
		}
		return ""
	}
	fresh, _ := object.DeepCopyObject().(client.Object)
	err := t.api.Get(ctx, client.ObjectKeyFromObject(object), fresh)
	if apierrors.IsNotFound(err) {
		return ""
	}
	return fmt.Sprintf("finalizers %v, error %v", fresh.GetFinalizers(), err)
}

// peerSpec is the spec of a pod that runs the peer program.
func (e *env) peerSpec(node string) corev1.PodSpec {
	grace := int64(1)
	automount := false
	spec := corev1.PodSpec{
		TerminationGracePeriodSeconds: &grace, AutomountServiceAccountToken: &automount, EnableServiceLinks: &automount,
		Volumes: []corev1.Volume{{Name: "peer", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: e.peerDir}}}},
		Containers: []corev1.Container{{
			Name: "peer", Image: sandbox.BusyboxImage, ImagePullPolicy: corev1.PullIfNotPresent,
			Command:      []string{"/e2e/peer", "serve"},
			VolumeMounts: []corev1.VolumeMount{{Name: "peer", MountPath: "/e2e", ReadOnly: true}},
			ReadinessProbe: &corev1.Probe{
				ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(wire.HTTPPort)}},
				PeriodSeconds: 1, TimeoutSeconds: 2, FailureThreshold: 30,
			},
		}},
	}
	if node != "" {
		spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	return spec
}

// newPod is a pod that runs the peer program on a node, or on any node if node is empty.
func (e *env) newPod(namespace, name, node string, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: annotations, Labels: map[string]string{"app": "peer"}},
		Spec:       e.peerSpec(node),
	}
}

// spread creates count pods concurrently, distributed evenly over the nodes.
func (t *test) spread(namespace string, count int) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(10)
	for i := range count {
		g.Go(func() error {
			node := sandbox.NodeName(i%t.cluster.Nodes() + 1)
			return t.api.Create(ctx, t.newPod(namespace, fmt.Sprintf("p%02d", i), node, nil))
		})
	}
	t.must(g.Wait(), "create pods")
}

func (t *test) podsOf(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := t.api.List(ctx, &list, client.InNamespace(namespace))
	return list.Items, err
}

// ready waits until count pods of a namespace are ready and no more are there, and returns them.
func (t *test) ready(namespace string, count int, limit time.Duration) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	t.wait(limit, fmt.Sprintf("%d ready pods in namespace %s", count, namespace), func(ctx context.Context) string {
		var err error
		if pods, err = t.podsOf(ctx, namespace); err != nil {
			return err.Error()
		}
		good, sample := 0, ""
		for i := range pods {
			if isReady(&pods[i]) && pods[i].DeletionTimestamp == nil {
				good++
			} else {
				sample = pods[i].Name + " is " + string(pods[i].Status.Phase)
			}
		}
		if good == count && len(pods) == count {
			return ""
		}
		return fmt.Sprintf("%d of %d pods are ready, %s", good, len(pods), sample)
	})
	return pods
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// becomes waits until one pod is ready.
func (t *test) becomes(namespace, name string, limit time.Duration) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	t.wait(limit, "pod "+namespace+"/"+name+" is ready", func(ctx context.Context) string {
		if err := t.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod); err != nil {
			return err.Error()
		}
		if !isReady(pod) {
			return fmt.Sprintf("phase %s, annotations %v", pod.Status.Phase, pod.Annotations)
		}
		return ""
	})
	return pod
}

// deployment is a Deployment of count pods that run the peer program.
func (e *env) deployment(namespace, name string, count int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	spec := e.peerSpec("")
	spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
	}}
	surge, unavailable := intstr.FromString("100%"), intstr.FromString("100%")
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &count, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}

// ask makes a pod connect to targets. The pod's node sends the request, since it reaches pods of every subnet.
func (t *test) ask(ctx context.Context, pod *corev1.Pod, targets []wire.Target) ([]wire.Answer, error) {
	answers, err := answersOf(targets, func(questions string) (string, error) {
		return t.cluster.NodeExec(ctx, nodeNumber(pod.Spec.NodeName), t.peerPath(), "relay", pod.Status.PodIP, questions)
	})
	if err != nil {
		return nil, fmt.Errorf("ask pod %s/%s on %s: %w", pod.Namespace, pod.Name, pod.Spec.NodeName, err)
	}
	return answers, nil
}

// askNode makes a node connect to targets.
func (t *test) askNode(ctx context.Context, n int, targets []wire.Target) ([]wire.Answer, error) {
	return answersOf(targets, func(questions string) (string, error) {
		return t.cluster.NodeExec(ctx, n, t.peerPath(), "check", questions)
	})
}

// answersOf runs the peer program with targets and returns its answers.
func answersOf(targets []wire.Target, run func(questions string) (string, error)) ([]wire.Answer, error) {
	questions, err := json.Marshal(targets)
	if err != nil {
		return nil, err
	}
	out, err := run(string(questions))
	if err != nil {
		return nil, err
	}
	var answers []wire.Answer
	err = json.Unmarshal([]byte(out), &answers)
	return answers, err
}

// askingPods bounds how many pods connect concurrently: the first packet of each connection is work for
// ovs-vswitchd on the same two processors.
const askingPods = 10

// mesh makes every pod connect to targets that depend on the pod, and returns what was wrong.
func (t *test) mesh(pods []corev1.Pod, targets func(from *corev1.Pod) []wire.Target, verdict func(from *corev1.Pod, a wire.Answer) string) (asked int, wrong []string) {
	t.Helper()
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(askingPods)
	for i := range pods {
		from := &pods[i]
		g.Go(func() error {
			answers, err := t.ask(ctx, from, targets(from))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				wrong = append(wrong, err.Error())
				return nil
			}
			for _, a := range answers {
				asked++
				if text := verdict(from, a); text != "" {
					wrong = append(wrong, fmt.Sprintf("%s on %s → %s %s: %s", from.Name, from.Spec.NodeName, a.How, a.Address, text))
				}
			}
			return nil
		})
	}
	t.must(g.Wait(), "ask pods")
	return asked, wrong
}

// asItself expects a reply to the pod's own address.
func asItself(from *corev1.Pod, a wire.Answer) string {
	if a.Error == "" && a.How == wire.Hello && !hasIP(from, a.SeenAs) {
		return "seen as " + a.SeenAs
	}
	return a.Error
}

func hasIP(pod *corev1.Pod, address string) bool {
	for _, ip := range pod.Status.PodIPs {
		if ip.IP == address {
			return true
		}
	}
	return false
}

// reach are ping and TCP targets for every address of pods.
func reach(pods []corev1.Pod) []wire.Target {
	var targets []wire.Target
	for i := range pods {
		for _, ip := range pods[i].Status.PodIPs {
			targets = append(targets,
				wire.Target{How: wire.Ping, Address: ip.IP},
				wire.Target{How: wire.Hello, Address: hostPort(ip.IP, wire.HelloPort)})
		}
	}
	return targets
}

// warning waits for a Warning event of an object that contains all of these texts.
func (t *test) warning(limit time.Duration, namespace, name string, parts ...string) {
	t.Helper()
	t.wait(limit, fmt.Sprintf("a warning about %s that says %q", name, parts), func(ctx context.Context) string {
		var events corev1.EventList
		if err := t.api.List(ctx, &events, client.InNamespace(namespace)); err != nil {
			return err.Error()
		}
		var seen []string
		for _, e := range events.Items {
			if e.InvolvedObject.Name != name || e.Type != corev1.EventTypeWarning {
				continue
			}
			text := e.Reason + ": " + e.Message
			if containsAll(text, parts) {
				t.say("event on %s: %s", name, text)
				return ""
			}
			seen = append(seen, text)
		}
		return fmt.Sprintf("its warnings are %q", seen)
	})
}

func containsAll(text string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

func readTail(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}
