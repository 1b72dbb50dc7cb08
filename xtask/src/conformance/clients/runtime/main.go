// Command runtime is what a controller built with controller-runtime gets to see: caches, an owner and its dependents,
// status, server-side apply, finalizers, a leader election and indices. It prints what happened, without names and times
// that differ between servers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	space     = "from-runtime"
	finalizer = "example.com/held"
)

// reconciler makes a ConfigMap for each Deployment of the namespace, and counts in its status.
type reconciler struct {
	client.Client
	seen chan string
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var own appsv1.Deployment
	if err := r.Get(ctx, request.NamespacedName, &own); err != nil {
		if apierrors.IsNotFound(err) {
			r.seen <- "gone " + request.Name
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !own.DeletionTimestamp.IsZero() {
		if controllerutil.RemoveFinalizer(&own, finalizer) {
			r.seen <- "let go " + request.Name
			return ctrl.Result{}, r.Update(ctx, &own)
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(&own, finalizer) {
		return ctrl.Result{}, r.Update(ctx, &own)
	}
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: own.Name, Namespace: own.Namespace}}
	result, err := controllerutil.CreateOrUpdate(ctx, r.Client, made, func() error {
		made.Data = map[string]string{"replicas": fmt.Sprint(*own.Spec.Replicas)}
		return controllerutil.SetControllerReference(&own, made, r.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	if result != controllerutil.OperationResultNone {
		r.seen <- fmt.Sprintf("%s %s with %s", result, made.Name, made.Data["replicas"])
	}
	if own.Status.ObservedGeneration != own.Generation {
		before := own.DeepCopy()
		own.Status.ObservedGeneration = own.Generation
		return ctrl.Result{}, r.Status().Patch(ctx, &own, client.MergeFrom(before))
	}
	return ctrl.Result{}, nil
}

func say(what string, err error) {
	if err == nil {
		fmt.Println(what, "ok")
		return
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		fmt.Println(what, status.Status().Code, status.Status().Reason, status.Status().Message)
		return
	}
	fmt.Println(what, err)
}

// wait prints what the controller did until it said so.
func wait(seen chan string, wanted string) {
	after := time.After(20 * time.Second)
	for {
		select {
		case got := <-seen:
			fmt.Println("controller:", got)
			if got == wanted {
				return
			}
		case <-after:
			fmt.Println("controller: not", wanted)
			return
		}
	}
}

func deployment(name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: space, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
			},
		},
	}
}

func main() {
	log.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	config := ctrl.GetConfigOrDie()
	config.ContentType = runtime.ContentTypeProtobuf
	ctx, cancel := context.WithCancel(context.Background())
	direct, err := client.New(config, client.Options{Scheme: scheme})
	say("client", err)
	say("namespace", direct.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}))
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, LeaderElection: true,
		LeaderElectionID: "runtime.example.com", LeaderElectionNamespace: space, LeaderElectionReleaseOnCancel: true,
	})
	say("manager", err)
	r := &reconciler{Client: manager.GetClient(), seen: make(chan string, 100)}
	say("controller", ctrl.NewControllerManagedBy(manager).For(&appsv1.Deployment{}).Owns(&corev1.ConfigMap{}).Complete(r))
	say("index", manager.GetFieldIndexer().IndexField(ctx, &corev1.ConfigMap{}, "data.replicas", func(o client.Object) []string {
		return []string{o.(*corev1.ConfigMap).Data["replicas"]}
	}))
	done := make(chan error)
	go func() { done <- manager.Start(ctx) }()
	<-manager.Elected()

	say("create", direct.Create(ctx, deployment("web", 2)))
	wait(r.seen, "created web with 2")
	say("again", direct.Create(ctx, deployment("web", 2)))
	var web appsv1.Deployment
	key := types.NamespacedName{Namespace: space, Name: "web"}
	say("read", direct.Get(ctx, key, &web))
	stale := web.DeepCopy()
	before := web.DeepCopy()
	three := int32(3)
	web.Spec.Replicas = &three
	say("patch", direct.Patch(ctx, &web, client.StrategicMergeFrom(before)))
	wait(r.seen, "updated web with 3")
	stale.Spec.Replicas = &three
	stale.ResourceVersion = "1"
	say("stale", direct.Update(ctx, stale))
	say("locked", direct.Patch(ctx, stale, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))

	applied := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "applied", "namespace": space}, "data": map[string]any{"a": "1"},
	}}
	say("apply", direct.Patch(ctx, applied.DeepCopy(), client.Apply, client.FieldOwner("one")))
	applied.Object["data"] = map[string]any{"a": "2"}
	say("conflict", direct.Patch(ctx, applied.DeepCopy(), client.Apply, client.FieldOwner("two")))
	say("force", direct.Patch(ctx, applied.DeepCopy(), client.Apply, client.FieldOwner("two"), client.ForceOwnership))
	say("dry run", direct.Create(ctx, deployment("rehearsed", 1), client.DryRunAll))
	say("wrong", direct.Create(ctx, deployment("Wrong_", -1)))
	say("missing", direct.Get(ctx, types.NamespacedName{Namespace: space, Name: "none"}, &web))

	var maps corev1.ConfigMapList
	for range 100 {
		say2 := r.List(ctx, &maps, client.InNamespace(space), client.MatchingFields{"data.replicas": "3"})
		if say2 != nil || len(maps.Items) == 1 {
			say("cached list", say2)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Println("indexed", len(maps.Items))
	var partial metav1.PartialObjectMetadataList
	partial.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	say("metadata", direct.List(ctx, &partial, client.InNamespace(space)))
	var names []string
	for _, item := range partial.Items {
		names = append(names, item.Name)
	}
	sort.Strings(names)
	fmt.Println(names)
	say("scale", direct.SubResource("scale").Get(ctx, deployment("web", 0), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "autoscaling/v1", "kind": "Scale",
	}}))
	say("delete", direct.Delete(ctx, deployment("web", 0), client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	wait(r.seen, "let go web")
	say("delete all", direct.DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(space)))
	cancel()
	say("end", <-done)
}
