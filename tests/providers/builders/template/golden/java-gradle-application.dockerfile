# Java 21 (program, Gradle)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM eclipse-temurin:21-jdk AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.gradle \
    sh ./gradlew --no-daemon installDist && mkdir /out && cp -R "$(find . -path '*/build/install/*' -prune | head -n 1)"/. /out/

FROM eclipse-temurin:21-jre
COPY --from=build --chown=10001:10001 ["/out/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75 HOME=/tmp
ENTRYPOINT []
CMD ["/bin/bash", "-c", "for program in /app/bin/*; do case \"$program\" in *.bat) ;; *) exec bash \"$program\" ;; esac; done"]
# ---
# kind java, worker, port None, because of app/build.gradle.kts
