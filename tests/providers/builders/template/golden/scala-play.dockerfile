# Scala (Play, sbt) on Java 21
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM eclipse-temurin:21-jdk AS build
WORKDIR /app
RUN apt-get update && apt-get install --yes --no-install-recommends curl ca-certificates \
 && rm -rf /var/lib/apt/lists/*
RUN curl -fsSL -o /usr/local/lib/sbt-launch.jar \
    https://repo1.maven.org/maven2/org/scala-sbt/sbt-launch/1.10.7/sbt-launch-1.10.7.jar \
 && printf '#!/bin/sh\nexec java -Xmx1g -jar /usr/local/lib/sbt-launch.jar "$@"\n' > /usr/local/bin/sbt \
 && chmod +x /usr/local/bin/sbt
COPY [".", "./"]
RUN --mount=type=cache,target=/root/.cache/coursier --mount=type=cache,target=/root/.sbt --mount=type=cache,target=/root/.ivy2 \
    sbt stage && if [ ! -d target/universal/stage ]; then mkdir -p target/universal && cp -R "$(find . -path '*/target/universal/stage' -prune | head -n 1)" target/universal/stage; fi

FROM eclipse-temurin:21-jre
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75 HOME=/tmp
ENV PORT=8080
EXPOSE 8080
ENTRYPOINT []
CMD ["/bin/bash", "-c", "exec target/universal/stage/bin/my-shop -Dhttp.port=$PORT -Dpidfile.path=/dev/null"]
# ---
# kind scala, web, port 8080, because of build.sbt
